# submission: the services where people log in.
daemon_PROGRAMS += submission/submission
submission_submission_SOURCES = submission/main.c
submission_submission_LDADD = $(SERVICE_LIBS)
dist_man_MANS += man/submission.8
