// Command interop plays an unmodified due client against a server that echoes: it packs and reads every frame with
// due's own packet codec and speaks over the sockets due uses. It prints "ok N" (N data frames came back as they went)
// or one line that says what went wrong, and then exits with 1.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dobyte/due/v2/packet"
)

// settings is what the command line says.
type settings struct {
	network       string
	addr          string
	order         string
	routeBytes    int
	seqBytes      int
	heartbeatTime string
	routes        string
	frames        int
	window        int
	maxBody       int
	seed          int64
	timeout       time.Duration
}

func parse() settings {
	var s settings
	flag.StringVar(&s.network, "network", "tcp", "tcp, ws or kcp")
	flag.StringVar(&s.addr, "addr", "127.0.0.1:3553", "host:port of the server")
	flag.StringVar(&s.order, "order", "big", "byte order: big or little")
	flag.IntVar(&s.routeBytes, "route-bytes", 2, "1, 2 or 4")
	flag.IntVar(&s.seqBytes, "seq-bytes", 2, "0, 1, 2 or 4")
	flag.StringVar(&s.heartbeatTime, "heartbeat-time", "off", "time in heartbeats: off or ns")
	flag.StringVar(&s.routes, "routes", "1", "routes to send on, separated by commas")
	flag.IntVar(&s.frames, "frames", 200, "data frames to send")
	flag.IntVar(&s.window, "window", 16, "frames in flight, at least 1")
	flag.IntVar(&s.maxBody, "max-body", 5000, "longest body in bytes")
	flag.Int64Var(&s.seed, "seed", 1, "seed of sizes, numbers and bodies")
	flag.DurationVar(&s.timeout, "timeout", 60*time.Second, "limit of the whole run")
	flag.Parse()
	return s
}

// packer builds due's codec as the settings say.
func (s settings) packer() (packet.Packer, error) {
	order, ok := map[string]binary.ByteOrder{"big": binary.BigEndian, "little": binary.LittleEndian}[s.order]
	if !ok {
		return nil, fmt.Errorf("order %q: want big or little", s.order)
	}
	if s.heartbeatTime != "off" && s.heartbeatTime != "ns" {
		return nil, fmt.Errorf("heartbeat-time %q: due's codec knows off and ns", s.heartbeatTime)
	}
	return packet.NewPacker(
		packet.WithByteOrder(order),
		packet.WithRouteBytes(s.routeBytes),
		packet.WithSeqBytes(s.seqBytes),
		packet.WithBufferBytes(s.maxBody),
		packet.WithHeartbeatTime(s.heartbeatTime == "ns"),
	), nil
}

func (s settings) routeList() ([]int32, error) {
	var list []int32
	for _, text := range strings.Split(s.routes, ",") {
		route, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("routes %q: %w", s.routes, err)
		}
		list = append(list, int32(route))
	}
	return list, nil
}

func run(s settings) (int, error) {
	if s.window < 1 || s.frames < 1 || s.maxBody < 0 {
		return 0, fmt.Errorf("window and frames begin at 1, max-body at 0")
	}
	codec, err := s.packer()
	if err != nil {
		return 0, err
	}
	routes, err := s.routeList()
	if err != nil {
		return 0, err
	}
	link, err := dial(s.network, s.addr, codec)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer link.close()
	return exchange(s, codec, routes, link)
}

func main() {
	s := parse()
	// A server that hangs must end the run with a reason; the deadline covers reads, writes and the dial.
	time.AfterFunc(s.timeout, func() { fail(fmt.Errorf("no end after %v", s.timeout)) })
	count, err := run(s)
	if err != nil {
		fail(err)
	}
	fmt.Println("ok", count)
}

func fail(err error) {
	fmt.Println("error:", err)
	os.Exit(1)
}
