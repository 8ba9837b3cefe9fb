"""The kinds of stages, one file per kind: what each reads, writes and depends on."""
