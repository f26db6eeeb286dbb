# commands: the programs people type, one include a room
include commands/process.mk
include commands/postmap.mk
include commands/queue.mk
