"""A two-site AWS rehearsal world on this machine: moto in front, real processes behind."""
