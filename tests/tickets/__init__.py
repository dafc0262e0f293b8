"""An app whose tickets have states, to be led on in the admin."""
