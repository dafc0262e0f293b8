"""The system checks: each bad declaration is one message with the line to write, each good one is none."""
