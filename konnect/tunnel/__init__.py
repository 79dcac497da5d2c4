"""What a tunnel is: its states, reasons, routing and budgets. No Twisted, no clock, no sockets."""
