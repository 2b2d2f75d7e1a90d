"""Designing a prospective trial: what is true, what is done, what is decided, and how often that goes well."""
