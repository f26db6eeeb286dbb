# smtpd: port 25.
daemon_PROGRAMS += smtpd/smtpd
smtpd_smtpd_SOURCES = smtpd/main.c
smtpd_smtpd_LDADD = $(SERVICE_LIBS)
