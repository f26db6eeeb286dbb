# The SMTP and LMTP protocol, server and client side.
