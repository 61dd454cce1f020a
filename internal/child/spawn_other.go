//go:build !linux

package child

import "context"

// spawner has nothing to do here: nothing depends on the thread that starts a
// child.
type spawner struct{}

var spawning spawner

func (*spawner) acquire() {}
func (*spawner) release() {}

func (*spawner) run(_ context.Context, job func()) error {
	job()
	return nil
}
