# The SMTP and LMTP protocol, server and client side.
include common/smtp/client/local.mk
include common/smtp/server/local.mk
