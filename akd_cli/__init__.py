"""The command line: one file per command, which parses, calls the stage and reports. No numerics here."""
