// Command peer runs kcp-go as a benchmark peer: an echo of due's frames, on the module as published.
//
//	peer --tcp A    listens for kcp at A (the name of the flag is that of every peer)
//
// Tuned like the server it stands beside: nodelay, an interval of 10 ms, retry after two overtook, no congestion
// control, windows of 256 segments, datagrams of 1,200 bytes, stream mode, socket buffers of 4 MiB, no error correction
// and no encryption. A write leaves at once and takes the acknowledgements along; recvmmsg and sendmmsg are used, as
// kcp-go does by itself.
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/xtaci/kcp-go/v5"
)

const (
	// Bytes of the size field, which does not count itself.
	sizeBytes = 4
	// In the byte behind it: no message, a sign of life.
	heartbeat = 0x80
	// The longest frame behind it: route, seq and a body of 64 KiB.
	longest = 5 + 64*1024
	// What a session reads at once, to begin with.
	room = 2 * 1024
	// Of the sockets, in bytes.
	buffer = 4 << 20
)

var errSize = errors.New("the size of a frame is out of range")

func main() {
	flags := flag.NewFlagSet("peer", flag.ExitOnError)
	at := flags.String("tcp", "", "HOST:PORT for clients")
	_ = flags.Parse(os.Args[1:])
	if err := listen(*at); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func listen(at string) error {
	listener, err := kcp.ListenWithOptions(at, nil, 0, 0)
	if err != nil {
		return err
	}
	// A smaller buffer than asked for is no fault: what does not fit is sent again.
	_ = listener.SetReadBuffer(buffer)
	_ = listener.SetWriteBuffer(buffer)
	fmt.Println("ready")
	for {
		session, err := listener.AcceptKCP()
		if err != nil {
			return err
		}
		go echo(session)
	}
}

func echo(session *kcp.UDPSession) {
	defer session.Close()
	session.SetNoDelay(1, 10, 2, 1)
	session.SetWindowSize(256, 256)
	session.SetMtu(1200)
	session.SetStreamMode(true)
	session.SetACKNoDelay(false)
	session.SetWriteDelay(false)
	held, filled, answers := make([]byte, room), 0, make([]byte, 0, room)
	for {
		n, err := session.Read(held[filled:])
		if err != nil {
			return
		}
		filled += n
		var whole int
		if answers, whole, err = answer(held[:filled], answers[:0]); err != nil {
			return
		}
		if whole > 0 {
			// All answers in one write: a segment takes as many as fit.
			if _, err := session.Write(answers); err != nil {
				return
			}
			filled = copy(held, held[whole:filled])
		}
		if filled == len(held) {
			held = append(held, make([]byte, len(held))...)
		}
	}
}

// answer appends what the whole frames at the front are answered with, and says how many bytes those are: a heartbeat,
// whatever a client says in it, by an empty one, and all else by itself.
func answer(bytes, answers []byte) ([]byte, int, error) {
	whole := 0
	for len(bytes)-whole >= sizeBytes {
		size := int(binary.BigEndian.Uint32(bytes[whole:]))
		if size == 0 || size > longest {
			return answers, 0, errSize
		}
		end := whole + sizeBytes + size
		if len(bytes) < end {
			break
		}
		if frame := bytes[whole:end]; frame[sizeBytes]&heartbeat == 0 {
			answers = append(answers, frame...)
		} else {
			answers = append(answers, 0, 0, 0, 1, heartbeat)
		}
		whole = end
	}
	return answers, whole, nil
}
