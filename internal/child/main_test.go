package child

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// modeKey tells a test binary that was started as a child what to do.
const modeKey = "CHILD_TEST_MODE"

func TestMain(m *testing.M) {
	if mode, ok := os.LookupEnv(modeKey); ok {
		os.Unsetenv(modeKey)
		modes[mode]()
		os.Exit(0)
	}
	// The race detector would let every child sleep for a second at its exit.
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	goleak.VerifyTestMain(m)
}

// modes are what children do in these tests. One that returns ends with exit
// code 0.
var modes = map[string]func(){
	"work":        func() { work(claimed()) },
	"echo":        func() { c := claimed(); say(c, bootstrap(c)); <-c.Orphaned() },
	"sum":         func() { c := claimed(); sum := sha256.Sum256(bootstrap(c)); say(c, sum[:]); <-c.Orphaned() },
	"nobootstrap": func() { c := claimed(); say(c, nil); <-c.Orphaned() },
	"noisy":       noisy,
	"exit0":       func() { claimed() },
	"exit3":       func() { claimed(); os.Exit(3) },
	"ready exit3": func() { say(claimed(), nil); os.Exit(3) },
	"ready exit0": func() { say(claimed(), nil) },
	"panic":       func() { say(claimed(), nil); panic("the sky falls") },
	"overflow":    func() { say(claimed(), nil); debug.SetMaxStack(1 << 20); fmt.Println(overflow(1)) },
	"map":         func() { say(claimed(), nil); writeMap() },
	"deadlock": func() {
		say(claimed(), nil)
		fmt.Fprintln(os.Stderr, "panic: not really")
		fmt.Fprint(os.Stderr, "the end")
		os.Exit(1)
	},
	"never":      func() { <-claimed().Orphaned() },
	"huge ready": func() { c := claimed(); fmt.Println(c.Ready(make([]byte, maxReady+1))); say(c, make([]byte, maxReady)) },
	"twice": func() {
		c := claimed()
		say(c, nil)
		fmt.Println(c.Ready(nil))
		d, ok := Role()
		fmt.Println(c == d, ok)
	},
	"forgot":       func() {},
	"forgot fatal": func() { fmt.Fprintln(os.Stderr, "listen: address in use"); os.Exit(1) },
	"forgot hang":  hang,
	"forgot start": func() { start("forgot start"); start("forgot start"); hang() },
	"forgot print": func() { fmt.Print(start("work")); hang() },
	"stubborn":     func() { stubborn(true) },
	"silent":       func() { stubborn(false) },
	"deleted":      deleted,
	"foreign":      func() { _, ok := Role(); fmt.Print(ok, " ", start("work")) },
	"holding":      func() { hold(); work(claimed()) },
	"late words":   func() { c := claimed(); say(c, nil); <-c.Orphaned(); fmt.Print("last\nwords"); os.Exit(0) },
	"hog":          hog,
	"ten MB":       tenMB,
	"raw":          func() { c := claimed(); say(c, nil); os.Stdout.Write(bootstrap(c)) },
	"chatter":      func() { c := claimed(); say(c, nil); chatter(c) },
	"flags":        func() { say(claimed(), []byte(strings.Join(os.Args, "\x00"))) },
	"getenv":       func() { say(claimed(), []byte(os.Getenv("CHILD_TEST_EXTRA")+"|"+cwd()+"|"+os.Getenv(markKey))) },
	"stdin": func() {
		c := claimed()
		n, err := os.Stdin.Read(make([]byte, 1))
		say(c, fmt.Append(nil, n, err))
		<-c.Orphaned()
	},
	"nest":    nest,
	"leaver":  func() { leave(true) },
	"stayer":  func() { leave(false) },
	"middle":  middle,
	"listing": listing,
}

func claimed() *Child {
	c, ok := Role()
	if !ok {
		fmt.Fprintln(os.Stderr, "not a child")
		os.Exit(99)
	}
	return c
}

func bootstrap(c *Child) []byte {
	b, err := c.Bootstrap()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(98)
	}
	return b
}

func say(c *Child, payload []byte) {
	if err := c.Ready(payload); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(97)
	}
}

func work(c *Child) {
	say(c, nil)
	<-c.Orphaned()
}

func hang() { time.Sleep(time.Hour) }

func cwd() string { dir, _ := os.Getwd(); return dir }

// start is what a program does that forgot Role.
func start(mode string) error {
	_, err := Start(context.Background(), Config{Env: []string{modeKey + "=" + mode}})
	return err
}

func noisy() {
	fmt.Print("begin")
	fmt.Fprint(os.Stderr, "! READY R\x00\x00\x00\x00")
	c := claimed()
	for i := range 1000 {
		fmt.Println("noise", i)
		fmt.Fprintln(os.Stderr, "READY", i)
	}
	say(c, []byte("quiet"))
	<-c.Orphaned()
}

//go:noinline
func overflow(n int) int {
	if n == 0 {
		return 0
	}
	return overflow(n+1) + 1
}

func writeMap() {
	m := make(map[int]int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				m[i%8] = i
			}
		})
	}
	wg.Wait()
}

// stubborn only ends by force, or by printing to somebody who has gone.
func stubborn(words bool) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
	hold()
	c := claimed()
	say(c, nil)
	<-c.Orphaned()
	if words {
		fmt.Println("no")
	}
	hang()
}

// hold opens the FIFO that the test knows this process's end by.
func hold() {
	path, ok := os.LookupEnv("CHILD_TEST_FIFO")
	if !ok {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(96)
	}
	held = f
}

var held *os.File

func hog() {
	c := claimed()
	say(c, fmt.Append(nil, debug.SetMemoryLimit(-1)))
	if string(bootstrap(c)) == "sit" {
		<-c.Orphaned()
		return
	}
	var all [][]byte
	for range time.Tick(2 * time.Millisecond) {
		all = append(all, bytes.Repeat([]byte{1}, 4<<20))
	}
	fmt.Println(len(all))
}

const tenMBLines = 100_000

func tenMB() {
	say(claimed(), nil)
	w := bufio.NewWriterSize(os.Stdout, 64<<10)
	for i := range tenMBLines {
		fmt.Fprintf(w, "%08d %s\n", i, strings.Repeat("x", 91))
	}
	w.Flush()
}

// chatter prints more than fits anywhere, and then ends.
func chatter(c *Child) {
	line := strings.Repeat("y", 1023) + "\n"
	for range 4 << 10 {
		fmt.Print(line)
	}
	fmt.Print("after\n")
}

func nest() {
	c := claimed()
	depth, _ := strconv.Atoi(string(bootstrap(c)))
	p, err := Start(context.Background(), Config{
		Env:       []string{modeKey + "=nest"},
		Bootstrap: fmt.Append(nil, depth+1),
	})
	if err != nil {
		say(c, fmt.Append(nil, depth, " ", err))
		<-c.Orphaned()
		return
	}
	answer, err := p.Ready(context.Background())
	if err != nil {
		answer = fmt.Append(nil, err)
	}
	say(c, answer)
	<-c.Orphaned()
	if err := p.Stop(context.Background()); err != nil || p.Err() != nil {
		os.Exit(95)
	}
}

// leave starts a process that holds stdout open, and ends.
func leave(group bool) {
	c := claimed()
	cmd := exec.Command("sleep", "3600")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if group {
		ownGroup(cmd)
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(94)
	}
	say(c, fmt.Append(nil, cmd.Process.Pid))
	fmt.Println("left")
}

// middle starts a child as its bootstrap says and tells its parent when that
// one is ready.
func middle() {
	c := claimed()
	mode, alone, _ := strings.Cut(string(bootstrap(c)), " ")
	grace := time.Hour
	if alone == "" {
		alone = "kernel"
	} else {
		grace = 100 * time.Millisecond
	}
	p, err := Start(context.Background(), Config{
		Env:                 []string{modeKey + "=" + mode},
		KillGrace:           grace,
		orphansByStdinAlone: alone == "alone",
	})
	if err == nil {
		_, err = p.Ready(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(93)
	}
	say(c, fmt.Append(nil, p.PID()))
	hang()
}

// deleted is no child: it starts children from a file that is no more.
func deleted() {
	path, err := os.Executable()
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := Start(context.Background(), Config{
		Env:       []string{modeKey + "=nest"},
		Bootstrap: []byte("1"),
		KillGrace: time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := p.Ready(context.Background())
	fmt.Printf("%s %v %v %v", answer, err, p.Stop(context.Background()), p.Err())
}

// listing says what a program that the child executes has open.
func listing() {
	c := claimed()
	cmd := exec.Command("ls", "/proc/self/fd")
	cmd.Stdin = os.Stdin
	out, err := cmd.Output()
	say(c, fmt.Append(out, err))
	<-c.Orphaned()
}
