# Lookup table types.
