package child

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Config says how a child is started and when it is ended. The zero value
// is valid.
type Config struct {
	// Env is added to the environment of this process, as "key=value"; of a
	// key that occurs twice the last one counts. It is visible to whoever may
	// look at the process: secrets belong into Bootstrap.
	Env []string

	// Dir is the working directory. Default: that of this process.
	Dir string

	// Bootstrap is what [Child.Bootstrap] returns in the child. It travels
	// through a pipe of its own, never through environment or arguments. It
	// is not copied: leave it alone until the child is ready or gone.
	Bootstrap []byte

	// ReadyTimeout bounds the time from Start to [Child.Ready]; after it the
	// child is killed. Default 10 s.
	ReadyTimeout time.Duration

	// KillGrace is how long a child may take to end after [Process.Stop]
	// before it is killed. Default 1 s.
	KillGrace time.Duration

	// MemoryLimit bounds the memory of the child in bytes; 0 means no bound.
	// Its garbage collector is told to keep below nine tenths of it, as by
	// debug.SetMemoryLimit, unless GOMEMLIMIT is set in Env or is lower
	// already. On Linux the resident set is looked at every
	// 100 ms, and a child above the limit is killed with [Memory]; elsewhere
	// nothing is killed.
	MemoryLimit int64

	// Log receives what the child prints, one line at a time and from one
	// goroutine per child; lines of different children may come at once. A
	// slow Log slows the child down once 1 MiB waits; one that takes nothing
	// for a second loses lines instead of blocking the child for ever, and is
	// told how many. A panic in it is contained. Default: [LogTo] slog.Default().
	Log func(Line)

	// orphansByStdinAlone leaves out what kills the child at the death of its
	// parent on Linux; for tests of the way that all platforms have.
	orphansByStdinAlone bool
}

const (
	defaultReadyTimeout = 10 * time.Second
	defaultKillGrace    = time.Second
)

// Check returns all that is wrong with c, joined, before anything is started.
func (c Config) Check() error {
	_, err := c.withDefaults()
	return err
}

// withDefaults returns c with its defaults filled in, or all that is wrong
// with it.
func (c Config) withDefaults() (Config, error) {
	var faults []error
	for _, entry := range c.Env {
		switch key, _, ok := strings.Cut(entry, "="); {
		case !ok || key == "" || strings.ContainsRune(entry, 0):
			faults = append(faults, fmt.Errorf("child: Env %q: want key=value", entry))
		case key == markKey:
			faults = append(faults, fmt.Errorf("child: Env %q: %s is reserved", entry, markKey))
		}
	}
	if c.ReadyTimeout < 0 {
		faults = append(faults, fmt.Errorf("child: ReadyTimeout %v: want a positive duration", c.ReadyTimeout))
	}
	if c.KillGrace < 0 {
		faults = append(faults, fmt.Errorf("child: KillGrace %v: want a positive duration", c.KillGrace))
	}
	if c.MemoryLimit < 0 {
		faults = append(faults, fmt.Errorf("child: MemoryLimit %d: want a positive number of bytes", c.MemoryLimit))
	}
	if len(faults) > 0 {
		return c, errors.Join(faults...)
	}
	if c.ReadyTimeout == 0 {
		c.ReadyTimeout = defaultReadyTimeout
	}
	if c.KillGrace == 0 {
		c.KillGrace = defaultKillGrace
	}
	if c.Log == nil {
		c.Log = LogTo(nil)
	}
	return c, nil
}

// collectorLimit is the soft limit that the child's runtime is given; 0 for
// none.
func (c Config) collectorLimit() int64 {
	for _, entry := range c.Env {
		if strings.HasPrefix(entry, "GOMEMLIMIT=") {
			return 0
		}
	}
	return c.MemoryLimit - c.MemoryLimit/10
}
