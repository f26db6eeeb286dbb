# SPDX-License-Identifier: ISC
"""What the end-to-end tests stand on: mail servers, their neighbours, and a client that speaks SMTP by hand."""
