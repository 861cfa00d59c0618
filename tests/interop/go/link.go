package main

import (
	"fmt"
	"net"

	"github.com/dobyte/due/v2/packet"
	"github.com/gorilla/websocket"
	"github.com/xtaci/kcp-go/v5"
)

// Forward error correction of due's KCP client: parity packets go up, the server answers without.
const (
	kcpDataShards   = 10
	kcpParityShards = 3
)

// link carries whole frames, size field and all.
type link interface {
	write(frame []byte) error
	// read returns the next frame, or nil for a frame of size 0.
	read() ([]byte, error)
	close()
}

func dial(network, addr string, codec packet.Packer) (link, error) {
	switch network {
	case "tcp":
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		return &stream{conn, codec}, nil
	case "kcp":
		conn, err := kcp.DialWithOptions(addr, nil, kcpDataShards, kcpParityShards)
		if err != nil {
			return nil, err
		}
		return &stream{conn, codec}, nil
	case "ws":
		conn, _, err := websocket.DefaultDialer.Dial("ws://"+addr+"/", nil)
		if err != nil {
			return nil, err
		}
		return &messages{conn}, nil
	default:
		return nil, fmt.Errorf("network %q: want tcp, ws or kcp", network)
	}
}

// stream cuts frames out of a byte stream with due's reader.
type stream struct {
	conn  net.Conn
	codec packet.Packer
}

func (s *stream) write(frame []byte) error {
	_, err := s.conn.Write(frame)
	return err
}

func (s *stream) read() ([]byte, error) { return s.codec.ReadMessage(s.conn) }

func (s *stream) close() { _ = s.conn.Close() }

// messages has one frame in each binary WebSocket message.
type messages struct {
	conn *websocket.Conn
}

func (m *messages) write(frame []byte) error {
	return m.conn.WriteMessage(websocket.BinaryMessage, frame)
}

func (m *messages) read() ([]byte, error) {
	kind, frame, err := m.conn.ReadMessage()
	if err == nil && kind != websocket.BinaryMessage {
		err = fmt.Errorf("a WebSocket message of kind %d: want a binary one", kind)
	}
	return frame, err
}

func (m *messages) close() { _ = m.conn.Close() }
