dist_man_MANS += man/master.8 man/postfix.1 man/posthorn.1
