"""One file per playlist format; each streams records and names file and record of a bad one."""
