dist_man_MANS += man/postqueue.1 man/mailq.1 man/postsuper.1 man/postcat.1 man/queue.8
