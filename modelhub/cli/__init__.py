"""The command line: parse, call, show. Commands import what they need when they run, so that start-up stays instant."""
