# SPDX-License-Identifier: ISC
"""The entries of master.cf by which people submit mail, with the options that well-known stacks and guides give them: {587} and {465}
stand for the listeners, and what begins with another name belongs to them."""

STACKS = {
    "debian": """\
{587} inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=$mua_client_restrictions
  -o smtpd_helo_restrictions=$mua_helo_restrictions
  -o smtpd_sender_restrictions=$mua_sender_restrictions
  -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
{465} inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/smtps
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=$mua_client_restrictions
  -o smtpd_helo_restrictions=$mua_helo_restrictions
  -o smtpd_sender_restrictions=$mua_sender_restrictions
  -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
""",
    "ispmail": """\
{587} inet n       -       y       -       -       smtpd
 -o syslog_name=postfix/submission
 -o smtpd_tls_security_level=encrypt
 -o smtpd_sasl_auth_enable=yes
 -o smtpd_tls_auth_only=yes
 -o smtpd_reject_unlisted_recipient=no
 -o smtpd_client_restrictions=permit_sasl_authenticated,reject
 -o smtpd_sender_restrictions=reject_sender_login_mismatch,permit_sasl_authenticated,reject
 -o smtpd_helo_restrictions=permit_mynetworks,permit
 -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
 -o milter_macro_daemon_name=ORIGINATING
""",
    "mailcow": """\
{465}    inet  n       -       n       -       -       smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_mynetworks,permit_sasl_authenticated,reject
  -o tls_preempt_cipherlist=yes
  -o cleanup_service_name=smtp_sender_cleanup
  -o syslog_name=postfix/smtps
{587} inet n       -       n       -       -       smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_mynetworks,permit_sasl_authenticated,reject
  -o smtpd_enforce_tls=yes
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_auth_only=no
  -o smtpd_sender_restrictions=check_sasl_access,regexp:$config_directory/sasl_access,reject_authenticated_sender_login_mismatch,permit_mynetworks,permit_sasl_authenticated,reject_unlisted_sender,reject_unknown_sender_domain
  -o cleanup_service_name=smtp_sender_cleanup
  -o syslog_name=postfix/submission
smtp_sender_cleanup unix n -    y       -       0       cleanup
  -o header_checks=$smtp_header_checks
""",
    "docker-mailserver": """\
{587} inet n       -       n       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_sasl_type=dovecot
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_sasl_authenticated_header=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_sender_restrictions=$mua_sender_restrictions
  -o smtpd_discard_ehlo_keywords=
  -o milter_macro_daemon_name=ORIGINATING
  -o cleanup_service_name=sender-cleanup
{465}     inet  n       -       n       -       -       smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_sasl_type=dovecot
  -o smtpd_sasl_authenticated_header=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_sender_restrictions=$mua_sender_restrictions
  -o cleanup_service_name=sender-cleanup
sender-cleanup unix n   -       n       -       0       cleanup
  -o syslog_name=postfix/sender-cleanup
  -o header_checks=pcre:$config_directory/private_headers
""",
    "iredmail": """\
{587} inet n       -       n       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o content_filter=
{465}     inet  n       -       n       -       -       smtpd
  -o syslog_name=postfix/smtps
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o content_filter=
""",
    "mail-in-a-box": """\
{465} inet n       -       -       -       -       smtpd
\t  -o smtpd_tls_wrappermode=yes
\t  -o smtpd_sasl_auth_enable=yes
\t  -o syslog_name=postfix/submission
\t  -o smtpd_milters=
\t  -o cleanup_service_name=authclean
{587} inet n       -       -       -       -       smtpd
\t  -o smtpd_sasl_auth_enable=yes
\t  -o syslog_name=postfix/submission
\t  -o smtpd_milters=
\t  -o smtpd_tls_security_level=encrypt
\t  -o smtpd_tls_ciphers=high -o smtpd_tls_exclude_ciphers=aNULL,DES,3DES,MD5,DES+MD5,RC4 -o smtpd_tls_mandatory_protocols=!SSLv2,!SSLv3
\t  -o cleanup_service_name=authclean
authclean unix  n       -       -       -       0       cleanup
\t  -o header_checks=pcre:$config_directory/private_headers
\t  -o nested_header_checks=
""",
    "modoboa": """\
{587} inet n       -       -       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o tls_preempt_cipherlist=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_helo_restrictions=
  -o smtpd_sender_restrictions=reject_sender_login_mismatch
  -o milter_macro_daemon_name=ORIGINATING
  -o cleanup_service_name=ascleanup
ascleanup unix  n       -       -       -       0       cleanup
  -o header_checks=pcre:$config_directory/private_headers
""",
    "nixos": """\
{465} inet n - n - - smtpd
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject -o syslog_name=postfix/smtps -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes -o smtpd_tls_security_level=none -o smtpd_reject_unlisted_recipient=no
  -o smtpd_recipient_restrictions= -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
""",
    "chatmail": """\
{465} inet n - y - 5000 smtpd
  -o syslog_name=postfix/smtps
  -o smtpd_tls_wrappermode=yes
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_mandatory_protocols=>=TLSv1.3
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=$mua_client_restrictions
  -o smtpd_sender_restrictions=$mua_sender_restrictions
  -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_client_connection_count_limit=1000
""",
    "arch wiki": """\
{587} inet n       -       -       -       -       smtpd
 -o syslog_name=postfix/submission
 -o smtpd_tls_security_level=encrypt
 -o smtpd_sasl_auth_enable=yes
 -o smtpd_client_restrictions=permit_sasl_authenticated,reject
 -o milter_macro_daemon_name=ORIGINATING
 -o cleanup_service_name=subcleanup
subcleanup unix n       -       -       -       0       cleanup
 -o header_checks=regexp:$config_directory/no_received
""",
    "tutorial": """\
{587} inet  n       -       y       -       -       smtpd
    -o syslog_name=postfix/submission
    -o smtpd_tls_security_level=encrypt
    -o smtpd_tls_wrappermode=no
    -o smtpd_sasl_auth_enable=yes
    -o smtpd_sasl_security_options=noanonymous
    -o smtpd_sasl_tls_security_options=noanonymous
    -o smtpd_sasl_local_domain=$myhostname
    -o smtpd_etrn_restrictions=reject
    -o smtpd_client_restrictions=permit_sasl_authenticated,reject
    -o smtpd_helo_restrictions=
    -o smtpd_sender_restrictions=reject_sender_login_mismatch,permit_sasl_authenticated,reject
    -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
    -o smtpd_data_restrictions=reject_unauth_pipelining
    -o smtpd_client_connection_count_limit=20
    -o smtpd_client_message_rate_limit=100
    -o local_header_rewrite_clients=permit_mynetworks,permit_sasl_authenticated
    -o always_add_missing_headers=yes
    -o smtpd_helo_required=yes
""",
    "kolab": """\
{587} inet        n       -       n       -       -       smtpd
    -o cleanup_service_name=cleanup_submission
    -o syslog_name=postfix/submission
    -o mydestination=
    -o local_recipient_maps=
    -o relay_domains=
    -o relay_recipient_maps=
    -o smtpd_tls_security_level=encrypt
    -o smtpd_sasl_auth_enable=yes
    -o smtpd_sasl_authenticated_header=yes
    -o smtpd_client_restrictions=permit_sasl_authenticated,reject
    -o smtpd_data_restrictions=$submission_data_restrictions
    -o smtpd_recipient_restrictions=$submission_recipient_restrictions
    -o smtpd_sender_restrictions=$submission_sender_restrictions
cleanup_submission unix n - n - 0 cleanup
    -o header_checks=regexp:$config_directory/private_received
    -o mime_header_checks=
""",
}

FILES = {
    "private_headers": "/^\\s*(Received: from)[^\\n]*(.*for <.*@(?!example.org).*)/ REPLACE $1 [127.0.0.1] (localhost [127.0.0.1])$2\n"
                       "/^User-Agent:/ IGNORE\n/^X-Originating-IP:/ IGNORE\n/^X-Mailer:/ IGNORE\n",
    "no_received": "/^Received:/ IGNORE\n/^User-Agent:/ IGNORE\n",
    "private_received": "/^Received:.*\\(Authenticated sender:/ IGNORE\n/^User-Agent:/ REPLACE X-Agent: hidden\n",
    "sasl_access": "/^robot@/ 553 5.7.1 Robots send nothing\n",
}

USER_PARAMETERS = {
    "mua_client_restrictions": "permit_sasl_authenticated, reject", "mua_helo_restrictions": "",
    "mua_sender_restrictions": "reject_authenticated_sender_login_mismatch",
    "submission_data_restrictions": "reject_unauth_pipelining",
    "submission_recipient_restrictions": "permit_sasl_authenticated, reject",
    "submission_sender_restrictions": "reject_non_fqdn_sender, permit_sasl_authenticated, reject",
}
