package main

import (
	"log/slog"
	"net"
	"os"
)

// tell informs the service manager, if one wants to know: see sd_notify(3).
func tell(log *slog.Logger, state string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	conn, err := net.Dial("unixgram", socket) // also "@name", for one without a file
	if err == nil {
		_, err = conn.Write([]byte(state))
		_ = conn.Close()
	}
	if err != nil {
		log.Warn("could not tell the service manager", "state", state, "error", err)
	}
}
