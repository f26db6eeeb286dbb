# man
include man/process.mk
include man/queue.mk
