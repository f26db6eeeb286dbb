# man
include man/process.mk
include man/smtpd.mk
include man/queue.mk
