# SPDX-License-Identifier: ISC
"""The settings of our private Dovecots in the words of the installed release: 2.4 renamed most of what 2.3 understood."""
import functools
import shutil
import subprocess


@functools.cache
def is_2_4():
    program = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()
    return tuple(int(number) for number in words[0].split(".")[:2]) >= (2, 4)


def heading(top):
    """The beginning of every configuration: directories of its own."""
    versions = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n" if is_2_4() else ""
    return f"{versions}base_dir = {top}/run\nstate_dir = {top}/state\nlog_path = {top}/log\nssl = no\n"


def maildir():
    return "mail_driver = maildir\nmail_path = ~/Maildir\n" if is_2_4() else "mail_location = maildir:~/Maildir\n"


def lower_case_names():
    return f"auth_username_format = {'%{user | lower}' if is_2_4() else '%Lu'}\n"


def cleartext():
    return "auth_allow_cleartext = yes\n" if is_2_4() else "disable_plaintext_auth = no\n"


# --- who may log in, and who has a mailbox -----------------------------------------------------------------------

def _passdb(driver, mechanisms, settings_2_3, settings_2_4):
    if is_2_4():
        only = f"  mechanisms_filter = {mechanisms}\n" if mechanisms else ""
        return f"passdb {driver} {{\n{settings_2_4}{only}}}\n"
    only = f"  mechanisms = {mechanisms}\n" if mechanisms else ""
    return f"passdb {{\n  driver = {driver}\n{settings_2_3}{only}}}\n"


def passdb_file(path, mechanisms=""):
    return _passdb("passwd-file", mechanisms, f"  args = scheme=PLAIN username_format=%u {path}\n",
                   f"  passwd_file_path = {path}\n  auth_username_format = %{{user}}\n  default_password_scheme = PLAIN\n")


def passdb_anybody(mechanisms=""):
    return _passdb("static", mechanisms, "  args = nopassword=y\n", "  fields {\n    nopassword = yes\n  }\n")


def passdb_tokens(keys, file):
    """OAuth 2 with keys below the directory `keys`; the release 2.3 wants the settings in a `file` of their own."""
    mechanisms = "oauthbearer xoauth2"
    if is_2_4():
        return (f"oauth2 {{\n  introspection_mode = local\n  username_attribute = sub\n}}\noauth2_local_validation {{\n  dict fs {{\n"
                f"    fs posix {{\n      prefix = {keys}/\n    }}\n  }}\n}}\n" + _passdb("oauth2", mechanisms, "", ""))
    file.write_text(f"introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={keys}/\nusername_attribute = sub\n")
    return _passdb("oauth2", mechanisms, f"  args = {file}\n", "")


def userdb_file(path):
    if is_2_4():
        return f"userdb passwd-file {{\n  passwd_file_path = {path}\n  auth_username_format = %{{user}}\n}}\n"
    return f"userdb {{\n  driver = passwd-file\n  args = username_format=%u {path}\n}}\n"


def userdb_nobody():
    if is_2_4():
        return "userdb static {\n  fields {\n    uid = nobody\n    gid = nogroup\n    home = /\n  }\n}\n"
    return "userdb {\n  driver = static\n  args = uid=nobody gid=nogroup home=/\n}\n"


def port(number):
    """A listener on this port of 127.0.0.1, inside a service."""
    if is_2_4():
        return f"  inet_listener port {{\n    listen = 127.0.0.1\n    port = {number}\n  }}\n"
    return f"  inet_listener {{\n    address = 127.0.0.1\n    port = {number}\n  }}\n"
