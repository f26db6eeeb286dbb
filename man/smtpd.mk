dist_man_MANS += man/smtpd.8
