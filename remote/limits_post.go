package remote

import (
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/remote/wire"
)

// limitsPost sends a desk's answers. It has a goroutine while there are any,
// which waits until they are written: of a peer that asks and does not read, it
// ends the connection before the answers take much memory.
type limitsPost struct {
	conn  *link.Conn
	most  int // bytes of answers that wait, or are being written
	tasks sync.WaitGroup

	mu      sync.Mutex
	owed    []*wire.Limits
	last    int // bytes of the last of owed
	size    int // bytes of owed, and of what is being written
	writing bool
	over    bool
}

func newLimitsPost(conn *link.Conn) *limitsPost { return &limitsPost{conn: conn, most: mostOwed} }

// owedBytes is what an answer takes beside its content, in memory.
const owedBytes = 128

// add sends l, which belongs to the post from now on. It does not block.
func (p *limitsPost) add(l *wire.Limits) {
	size := proto.Size(l) + owedBytes
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	if p.size += size; p.size > p.most {
		p.over, p.owed = true, nil
		p.conn.Close(fmt.Errorf("remote: %s asks for permits and does not read the answers", p.conn.Peer().Name))
		return
	}
	if n := len(p.owed); n > 0 && p.last+size <= owedChunk {
		proto.Merge(p.owed[n-1], l)
		p.last += size
	} else {
		p.owed, p.last = append(p.owed, l), size
	}
	if !p.writing {
		p.writing = true
		p.tasks.Go(p.write)
	}
}

// write sends until nothing is left.
func (p *limitsPost) write() {
	written := 0
	for {
		p.mu.Lock()
		p.size -= written
		owed := p.owed
		if p.owed = nil; len(owed) == 0 || p.over {
			p.writing = false
			p.mu.Unlock()
			return
		}
		written = p.size
		p.mu.Unlock()
		for _, l := range owed {
			p.conn.AddLimits(l)
		}
		_ = p.conn.FlushWait() // its failure ends the connection, and that is noticed there
	}
}

// close ends the post of a connection that has ended.
func (p *limitsPost) close() {
	p.mu.Lock()
	p.over, p.owed = true, nil
	p.mu.Unlock()
	p.tasks.Wait()
}
