# lookup
