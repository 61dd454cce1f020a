package main

import (
	"bytes"
	"sync"
)

// lines counts those of the log that children have printed.
type lines struct {
	mu    sync.Mutex
	count int
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Contains(p, []byte("stream=")) {
		l.count++
	}
	return len(p), nil
}

func (l *lines) printed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}
