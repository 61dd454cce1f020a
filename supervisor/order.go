package supervisor

import (
	"cmp"
	"slices"
	"weak"

	proto "github.com/asynkron/protoactor-go/actor"
)

// Option sets [Policy.Strategy] in the Props of a supervisor and, for
// [RestForOne], records there in which order it starts its children:
//
//	proto.PropsFromProducer(newParent, policy.Option())
//
// The record is a spawn middleware of the engine. If there are others, put
// those that change the PID of a child before this option.
func (p Policy) Option() proto.PropsOption {
	s := newStrategy(p)
	return func(props *proto.Props) {
		proto.WithSupervisor(s)(props)
		if p.Scope == RestForOne {
			proto.WithSpawnMiddleware(s.recordStarts)(props)
		}
	}
}

func (s *strategy) recordStarts(spawn proto.SpawnFunc) proto.SpawnFunc {
	return func(system *proto.ActorSystem, id string, props *proto.Props, parent proto.SpawnerContext) (*proto.PID, error) {
		pid, err := spawn(system, id, props, parent)
		if ctx, ok := parent.(proto.Context); ok && err == nil {
			s.ledger.of(parent).starts(pid, ctx.Children())
		}
		return pid, err
	}
}

// order numbers the children of a supervisor as they start. It is needed
// because the engine's set of children moves its last one into the place of
// each that is removed. Keyed by pointer, because a name may come again.
type order struct {
	started map[weak.Pointer[proto.PID]]uint64
	next    uint64
}

// add numbers pid if it is new.
func (o *order) add(pid *proto.PID) {
	child := weak.Make(pid)
	if _, known := o.started[child]; known {
		return
	}
	if o.started == nil {
		o.started = make(map[weak.Pointer[proto.PID]]uint64)
	}
	o.started[child] = o.next
	o.next++
}

// prune drops the numbers of whoever is not among the present children, once
// they are the majority: that makes it cheap for each start.
func (o *order) prune(children []*proto.PID) {
	const slack = 16 // not worth it below
	if len(o.started) <= 2*len(children)+slack {
		return
	}
	kept := make(map[weak.Pointer[proto.PID]]uint64, len(children))
	for _, pid := range children {
		child := weak.Make(pid)
		if n, known := o.started[child]; known {
			kept[child] = n
		}
	}
	o.started = kept
}

// starts numbers a child that has just been started beside the others.
func (r *record) starts(pid *proto.PID, others []*proto.PID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order.prune(others)
	r.order.add(pid)
}

// inOrder returns a copy of the children in the order of their start. Those
// without a number follow as the engine lists them, and get one now.
func (r *record) inOrder(children []*proto.PID) []*proto.PID {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order.prune(children)
	for _, pid := range children {
		r.order.add(pid)
	}
	sorted := slices.Clone(children)
	slices.SortFunc(sorted, func(a, b *proto.PID) int {
		return cmp.Compare(r.order.started[weak.Make(a)], r.order.started[weak.Make(b)])
	})
	return sorted
}
