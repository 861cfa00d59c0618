package main

import (
	"fmt"
	"net"
	"os"

	"github.com/dobyte/due/v2/network"
	"github.com/dobyte/due/v2/packet"
)

// server is due's network.Server over tcp.
type server struct {
	addr         string
	listener     net.Listener
	onStart      network.StartHandler
	onStop       network.CloseHandler
	onConnect    network.ConnectHandler
	onReceive    network.ReceiveHandler
	onDisconnect network.DisconnectHandler
}

func newServer(addr string) *server { return &server{addr: addr} }

func (s *server) Addr() string                                   { return s.addr }
func (s *server) Protocol() string                               { return "tcp" }
func (s *server) OnStart(handler network.StartHandler)           { s.onStart = handler }
func (s *server) OnStop(handler network.CloseHandler)            { s.onStop = handler }
func (s *server) OnConnect(handler network.ConnectHandler)       { s.onConnect = handler }
func (s *server) OnReceive(handler network.ReceiveHandler)       { s.onReceive = handler }
func (s *server) OnDisconnect(handler network.DisconnectHandler) { s.onDisconnect = handler }

func (s *server) Start() error {
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.listener = listener
	if s.onStart != nil {
		s.onStart()
	}
	go s.accept()
	return nil
}

func (s *server) Stop() error {
	if s.onStop != nil {
		s.onStop()
	}
	return s.listener.Close()
}

// accept numbers connections from 1, as due does.
func (s *server) accept() {
	for id := int64(1); ; id++ {
		tcp, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.serve(newConn(id, tcp))
	}
}

func (s *server) serve(c *conn) {
	if s.onConnect != nil {
		s.onConnect(c)
	}
	go c.write()
	c.read(s.onReceive)
	if s.onDisconnect != nil {
		s.onDisconnect(c)
	}
}

// runEcho answers on the network interface alone, as the network part of due's benchmark does.
func runEcho(s settings) {
	server := newServer(s.tcp)
	server.OnReceive(func(c network.Conn, data []byte) {
		message, err := packet.UnpackMessage(data)
		if err != nil {
			return
		}
		reply, err := packet.PackMessage(message)
		if err != nil {
			return
		}
		_ = c.Push(reply)
	})
	must(server.Start())
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
