"""Looks at everything an installation needs, and says what to do about what is amiss.

It changes nothing, and asks only what a start would ask too.  No finding carries a secret.
"""
