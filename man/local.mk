# man
include man/process.mk
include man/smtpd.mk
