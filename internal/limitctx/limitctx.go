// Package limitctx holds the keys under which a context carries the limits of
// a task. They are apart from package limits so that a context type of the
// runtime can answer them itself, in its Value method, without an allocation.
package limitctx

// Limiter is the key of a limits.Limiter.
type Limiter struct{}

// Permit is the key of a *limits.Permit.
type Permit struct{}
