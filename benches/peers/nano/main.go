// Command peer runs nano as a benchmark peer, of the module as published.
//
//	peer local --tcp A                        one process: the handler runs where clients connect
//	peer gate --tcp A --link B                a gate, which is the master too
//	peer member --link C --gate-link B        the member behind it that has the handler
//
// The handler is `echo.raw`; it takes and answers bytes.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/lonng/nano"
	"github.com/lonng/nano/component"
	"github.com/lonng/nano/session"
	"local.test/ready"
)

// Echo answers what it gets.
type Echo struct {
	component.Base
}

// Raw is found by reflection.
func (*Echo) Raw(s *session.Session, body []byte) error {
	// nano hands out a slice of its read buffer.
	return s.Response(append([]byte(nil), body...))
}

func main() {
	kind, args := "", os.Args[1:]
	if len(args) > 0 {
		kind, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("peer", flag.ExitOnError)
	tcp := flags.String("tcp", "", "HOST:PORT for clients")
	link := flags.String("link", "", "HOST:PORT for other processes")
	gate := flags.String("gate-link", "", "HOST:PORT of the gate for other processes")
	_ = flags.Parse(args)
	log.SetOutput(io.Discard)

	components := &component.Components{}
	components.Register(&Echo{}, component.WithName("echo"), component.WithNameFunc(strings.ToLower))
	quiet := nano.WithLogger(log.New(io.Discard, "", 0))
	switch kind {
	case "local":
		go ready.At(*tcp)
		nano.Listen(*tcp, quiet, nano.WithComponents(components))
	case "gate":
		go ready.At(*tcp)
		nano.Listen(*link, quiet, nano.WithMaster(), nano.WithClientAddr(*tcp), nano.WithComponents(&component.Components{}))
	case "member":
		go ready.At(*link)
		nano.Listen(*link, quiet, nano.WithAdvertiseAddr(*gate), nano.WithComponents(components))
	default:
		fmt.Fprintf(os.Stderr, "error: %q: want local, gate or member\n", kind)
		os.Exit(1)
	}
}
