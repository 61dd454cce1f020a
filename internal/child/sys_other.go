//go:build !linux

package child

const watchesMemory = false

func runningImage() string { return "" }

// awaitEnd cannot wait without giving the PID free. (There is waitid on
// darwin, but it also returns when the process is merely suspended.)
func awaitEnd(int) bool { return false }

func residentSet(int) (int64, bool) { return 0, false }
