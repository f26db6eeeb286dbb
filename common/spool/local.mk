# The spool's file format.
