"""The commands of `tenancy`, one file each."""
