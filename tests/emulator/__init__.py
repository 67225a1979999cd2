"""The emulated machine: how runs end, what is counted, what stands behind addresses."""
