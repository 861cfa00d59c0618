// Command peer runs due v2 as a benchmark peer: its own gate, node, link and packet codec, of the module as published.
//
//	peer gate --tcp A --link B --node-link C    a gate for clients at A
//	peer node --link C --gate-link B            the node behind it, which echoes and pushes to rooms
//	peer echo --tcp A                           an echo server on the network interface alone, without gate and node
//	peer client --tcp A --connections N         the client of due's published benchmark, ordered about on stdin
//
// What due ships as separate modules is not here and is played by this program against due's interfaces: the tcp
// network (server.go, dialer.go), registry and locator (static.go: both sides are told where the other is).
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/dobyte/due/v2/log"
	"github.com/dobyte/due/v2/mode"
	"github.com/dobyte/due/v2/packet"
)

// settings is what the command line says.
type settings struct {
	tcp         string
	link        string
	gateLink    string
	nodeLink    string
	json        bool
	wide        bool
	connections int
	size        int
}

func parse(args []string) settings {
	var s settings
	flags := flag.NewFlagSet("peer", flag.ExitOnError)
	flags.StringVar(&s.tcp, "tcp", "", "HOST:PORT for clients")
	flags.StringVar(&s.link, "link", "", "HOST:PORT of the own link server")
	flags.StringVar(&s.gateLink, "gate-link", "", "HOST:PORT of the gate's link server")
	flags.StringVar(&s.nodeLink, "node-link", "", "HOST:PORT of the node's link server")
	flags.BoolVar(&s.json, "json", false, "decode and encode JSON bodies, as the published benchmark does")
	flags.BoolVar(&s.wide, "wide", false, "four bytes of route and of seq, as the published benchmark has them")
	flags.IntVar(&s.connections, "connections", 50, "connections of the client")
	flags.IntVar(&s.size, "size", 1024, "letters in a message of the client")
	_ = flags.Parse(args)
	return s
}

// configure makes due quiet and fast: no debug lines, errors only.
func configure(s settings) {
	mode.SetMode(mode.ReleaseMode)
	log.SetLogger(log.NewLogger(log.WithLevel(log.LevelError)))
	options := []packet.Option{packet.WithBufferBytes(100_000)}
	if s.wide {
		options = append(options, packet.WithRouteBytes(4), packet.WithSeqBytes(4))
	}
	packet.SetPacker(packet.NewPacker(options...))
}

func main() {
	kind, args := "", os.Args[1:]
	if len(args) > 0 {
		kind, args = args[0], args[1:]
	}
	s := parse(args)
	configure(s)
	switch kind {
	case "gate":
		runGate(s)
	case "node":
		runNode(s)
	case "echo":
		runEcho(s)
	case "client":
		if err := runClient(s); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	default:
		fmt.Fprintf(os.Stderr, "error: %q: want gate, node, echo or client\n", kind)
		os.Exit(1)
	}
	fmt.Println("ready")
	wait()
}

func wait() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
}
