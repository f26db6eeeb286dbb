# virtual
