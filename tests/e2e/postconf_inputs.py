# SPDX-License-Identifier: ISC
"""Awkward main.cf and master.cf files, and command lines for postconf, made from a seed. Used by test_postconf_random.py."""

# What every program of Postfix's evaluates first, and dies of when it is nonsense: sensible values only.
CORE = {
    "myhostname": ["mail.example.org", "$mail_name.example"],
    "mydomain": ["example.org", "b.example"],
    "myorigin": ["$mydomain", "$myhostname", "/etc/hostname"],
    "mydestination": ["", "$myhostname, localhost.$mydomain localhost", "$myhostname,\n   hash:/etc/aliases"],
    "mynetworks": ["127.0.0.0/8", "127.0.0.0/8 [::1]/128", "127.0.0.0/8\n# between\n   10.0.0.0/8"],
    "inet_interfaces": ["all", "loopback-only", "127.0.0.1, [::1]"],
    "mail_name": ["Postfix", "other", "${mine?{a}:{b}}"],
    "compatibility_level": ["2", "3.6", "0"],
    "message_size_limit": ["10240000", "${stress?{1}:{2}}"],
    "syslog_name": ["postfix", "${mine?{x/}}postfix"],
    "import_environment": ["MAIL_CONFIG TZ LANG=C {X=Y Z}", "TZ"],
    "relayhost": ["", "[mail.example]:587", "$mydomain"],
    "smtpd_helo_required": ["yes", "no"],
}

NAMES = [*CORE, *"""smtpd_banner smtpd_recipient_restrictions smtpd_client_restrictions virtual_alias_maps virtual_mailbox_domains
    lmtp_destination_recipient_limit smtp_destination_concurrency_limit mine_time_limit mine_destination_recipient_limit
    nosuch_destination_concurrency_limit smtpd_restriction_classes strict nosuchname mynmae mine theirs
    aliases_user aliases_dbname transport_maps smtpd_sender_login_maps mua_client_restrictions smtpd_tls_cert_file
    smtpd_client_connection_rate_limit default_destination_concurrency_limit""".split()]

WORDS = """\
a
b.example
$mydomain
${mydomain}
$(mydomain)
${mine}
$mine
$theirs
${theirs?yes}
${theirs:no}
${mine?{x y}:{z}}
${mine?{x y} : {z}}
${ mine }
${mine ? {x} : {y}}
${theirs?{$mydomain}}
${theirs:{$mydomain}}
${{$mine} == {} ? {empty} : {full}}
${{1} < {2}}
${{a} != {b} ? {c}}
${{$compatibility_level} <level {3.6} ? {old} : {new}}
${{10} >= {9}?{ge}:{lt}}
${{$mydomain} > {a} : {$theirs}}
$$
$$mine
${stress?1}${stress:5}
hash:/etc/aliases
pgsql:aliases
inline:{a=b,{c=d}}
inline:{ { a = b c }, d = e }
pcre:{{/a,b/ OK}}
static:{x y}
{a,b}
{ }
permit_mynetworks
reject_unauth_destination
check_recipient_access
strict
mua_client_restrictions
!/etc/mailname
/etc/hostname
5d
100
10240000
yes
no
[::1]:25
[mail.example]
=x
x=y
a=$b,c=$d
#
;
\\
"
'
%
~
MAIL_CONFIG
TZ
LANG=C
{X=Y Z}
tcp:127.0.0.1:9
proxy:pgsql:aliases
texthash:$config_directory/x
unionmap:{hash:/a,static:b}
socketmap:unix:/x:name
${nosuch?{$alsonot}}
${domain?x}""".splitlines()

OWN = "strict nosuchname mynmae mine theirs aliases_user aliases_dbname mua_client_restrictions".split()
ASKED = [name for name in NAMES if name != "import_environment"]  # its default is that of 3.11

# What cannot be evaluated: rare, for most of an output is lost by it.
BROKEN = ["$", "${", "${}", "${{1} ~ {2}}", "${mine?{x}y}", "$ x", "${mine?{x}{y}}", "{", "}"]

SERVICES = ["smtp", "submission", "127.0.0.1:10025", "[::1]:smtp", "mine", "lmtp", "virtual", "pickup", "dovecot", "relay"]
TYPES = ["inet", "unix", "fifo", "pass", "unix-dgram"]
COMMANDS = ["smtpd", "smtp", "lmtp", "pipe", "virtual", "cleanup", "spawn", "qmgr", "local", "error"]

LONG = "x" * 5000


def value(random, name="mine"):
    """Tables with settings in main.cf only where Postfix looks for them: not in the admin's own parameters."""
    text = any_value(random)
    return text.replace("pgsql:", "hash:") if name in OWN else text


def any_value(random):
    kind = random.random()
    if kind < 0.08:
        return ""
    if kind < 0.10:
        return " ".join(random.choice(WORDS) for _ in range(60))
    if kind < 0.11:
        return LONG
    words = [random.choice(WORDS) for _ in range(random.randint(1, 5))]
    if random.random() < 0.01:
        words.append(random.choice(BROKEN))
    return random.choice([" ", ", ", ",", "  ", "\t"]).join(words)


def continued(random, text):
    """White space becomes the end of a line now and then, with comments and blank lines in between."""
    out = []
    for character in text:
        if character in " \t" and random.random() < 0.25:
            out.append(random.choice(["\n ", "\n\t", "\n    ", "\n# between\n ", "\n\n ", "\n  # indented comment\n  ", "\n#\n#\n\t"]))
        else:
            out.append(character)
    return "".join(out)


def main_cf(random):
    lines = []
    for _ in range(random.randint(1, 14)):
        kind = random.random()
        if kind < 0.12:
            lines.append(random.choice(["# comment", "#", "", "   ", "\t", "#x = y", "  # late comment"]))
            continue
        equals = random.choice([" = ", "=", " =", "= ", "\t=\t", "  =  "])
        name = random.choice(NAMES)
        lines.append(name + equals + (random.choice(CORE[name]) if name in CORE else continued(random, value(random, name))))
    text = "\n".join(lines)
    if text[:1].isspace() or text.startswith("# continued"):
        text = "# begins\n" + text  # a first line that continues nothing is fatal in 3.7 only
    if random.random() < 0.15:
        text = text.replace("\n", "\r\n")
    return text + "\n"  # without it Postfix adds a new setting to the last line


def override(random):
    name = random.choice([name for name in NAMES if name not in CORE])
    setting = random.choice(["", "x", "$mydomain", "$mine", "${mine?{a}}", "permit_mynetworks,reject", "yes", "10", "$$x", "$nosuch"])
    spaced = random.choice(["a b", "permit_mynetworks, reject", "$mine $theirs", "{ x } y", "", "a=b c"])
    return random.choice([f"-o {name}={setting}", f"-o {{ {name} = {spaced} }}", f"-o {{{name}={spaced}}}",
                          f"-o {{ {name}={setting} }}", f"-v -o {name}={setting}", f"-vo {name}={setting}"])


def entry(random, service, kind):
    columns = [service, kind, "n" if kind in ("inet", "pass") else random.choice("-yn"), random.choice("-yn"), random.choice("-yn"),
               random.choice(["-", "0", "60", "1000?"]), random.choice(["-", "0", "1", "100"]), random.choice(COMMANDS)]
    words = [override(random) for _ in range(random.choice([0, 0, 1, 2, 4]))]
    if random.random() < 0.2:
        words += ["user=vmail", "argv=/bin/x", "${recipient}", random.choice(["{ a b }", "{a}", "plain", "-o not=this"])]
    text = random.choice([" ", "  ", "\t"]).join(columns)
    for word in words:
        text += random.choice([" ", "\n  ", "\n\t", "\n# comment\n  ", "\n\n  "]) + word
    return text


def master_cf(random):
    """Services are unique: of two with one name Postfix shows both, we the last."""
    wanted = [(service, random.choice(TYPES)) for service in random.sample(SERVICES, random.randint(0, 5))]
    lines = []
    for service, kind in wanted:
        if random.random() < 0.2:
            lines.append(random.choice(["# comment", "", "#smtp inet n - y - - smtpd", "   "]))
        lines.append(entry(random, service, kind))
    text = "\n".join(lines)
    if text[:1].isspace():
        text = "# begins\n" + text
    if random.random() < 0.1:
        text = text.replace("\n", "\r\n")
    return text + "\n"


SHOW = ["-n", "-nf", "-nx", "-nxf", "-nh", "-nH", "-nhx", "-C user", "-C user -x", "-C service", "-C service -n", "-C builtin -n", "-p -n", "-C all -n",
        "-M", "-Mf", "-Mx", "-Mxf", "-F", "-Ff", "-Fh", "-FH", "-Fx", "-P", "-Pf", "-Ph", "-PH", "-Px", "-Pxf"]
FIELDS = ["service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command", "nosuch"]


def service_pattern(random):
    return random.choice([*SERVICES, "*"]) + "/" + random.choice([*TYPES, "*"])


def show(random):
    """The arguments of a question."""
    kind = random.random()
    if kind < 0.4:
        return random.choice(SHOW).split()
    if kind < 0.6:
        return [*random.choice(["", "-h", "-H", "-x", "-hx", "-f", "-n", "-n -x"]).split(), *random.sample(ASKED, random.randint(1, 4))]
    if kind < 0.7:
        return ["-o", f"{random.choice(NAMES[len(CORE):])}={random.choice(['', 'x', '$mine', '${mydomain?{a b}}'])}", *random.choice(["-n", "-nx", "mine", "mydomain"]).split()]
    if kind < 0.8:
        return [random.choice(["-M", "-Mf", "-Mx"]), random.choice([service_pattern(random), random.choice(SERVICES)])]
    if kind < 0.9:
        return [random.choice(["-F", "-Fh", "-Fx", "-FH"]), f"{service_pattern(random)}/{random.choice(FIELDS + ['*'])}"]
    return [random.choice(["-P", "-Ph", "-Px", "-PH"]), f"{service_pattern(random)}/{random.choice([*NAMES, '*'])}"]


def assignment(random):
    name = random.choice([name for name in NAMES if name not in CORE])
    return random.choice([f"{name}={value(random, name)}", f"{name} = {value(random, name)}", f" {name} = x ", f"{name}=", f"new_{name}=1"])


def exact_service(random):
    return random.choice(SERVICES) + "/" + random.choice(TYPES)


def edit(random):
    """The arguments of a change."""
    kind = random.random()
    name = random.choice(NAMES)
    if kind < 0.25:
        return [*random.choice([[], ["-e"]]), assignment(random).replace("\n", " ")]
    if kind < 0.35:
        return ["-X", *random.sample(NAMES, random.randint(1, 3))]
    if kind < 0.45:
        return ["-#", *random.sample(NAMES, random.randint(1, 2))]
    if kind < 0.55:
        service = exact_service(random)
        return [*random.choice([["-M", "-e"], ["-Me"], ["-M"]]),
                f"{service}={entry(random, *service.split('/')).split(chr(10))[0]}"]
    if kind < 0.65:
        return [random.choice(["-MX", "-M#"]), random.choice([exact_service(random), service_pattern(random)])]
    if kind < 0.8:
        field = random.choice(FIELDS[2:7])
        setting = {"wakeup": "60?", "process_limit": "7"}.get(field, random.choice("yn-"))
        return [random.choice(["-Fe", "-F"]), f"{service_pattern(random)}/{field}={setting}"]
    if kind < 0.92:
        return ["-Pe", f"{service_pattern(random)}/{name}={random.choice(['', 'x', '$mine', 'a b', 'a,b', '{x y}'])}"]
    return ["-PX", f"{service_pattern(random)}/{name}"]
