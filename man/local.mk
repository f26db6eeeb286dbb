# man
include man/process.mk
