package elastic

const (
	Linger    = linger
	MaxParked = maxParked
)

// Goroutines returns how many there are, and how many of them have no work.
func (d *Dispatcher) Goroutines() (live, parked int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.live, len(d.parked)
}
