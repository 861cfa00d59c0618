// Command peer runs pitaya as a benchmark peer, of the module as published: one process, without compression, which is its
// best case. Forwarded requests would need etcd and NATS beside it.
//
//	peer local --tcp A
//
// The handler is `gate.echo.raw`; it takes and answers bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	pitaya "github.com/topfreegames/pitaya/v3/pkg"
	"github.com/topfreegames/pitaya/v3/pkg/acceptor"
	"github.com/topfreegames/pitaya/v3/pkg/component"
	"github.com/topfreegames/pitaya/v3/pkg/config"
	"github.com/topfreegames/pitaya/v3/pkg/logger"
	logging "github.com/topfreegames/pitaya/v3/pkg/logger/logrus"
)

// Echo answers what it gets.
type Echo struct {
	component.Base
}

// Raw is found by reflection.
func (*Echo) Raw(_ context.Context, body []byte) ([]byte, error) { return body, nil }

func main() {
	args := os.Args[1:]
	if len(args) == 0 || args[0] != "local" {
		fmt.Fprintln(os.Stderr, "error: want local")
		os.Exit(1)
	}
	flags := flag.NewFlagSet("peer", flag.ExitOnError)
	tcp := flags.String("tcp", "", "HOST:PORT for clients")
	_ = flags.Parse(args[1:])

	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	logger.SetLogger(logging.NewWithFieldLogger(quiet))

	settings := config.NewDefaultPitayaConfig()
	settings.Handler.Messages.Compression = false
	builder := pitaya.NewDefaultBuilder(true, "gate", pitaya.Standalone, map[string]string{}, *settings)
	builder.AddAcceptor(acceptor.NewTCPAcceptor(*tcp))
	app := builder.Build()
	app.Register(&Echo{}, component.WithName("echo"), component.WithNameFunc(strings.ToLower))
	go announce(*tcp)
	app.Start()
}

// announce prints ready when somebody listens at addr.
func announce(addr string) {
	for {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
			fmt.Println("ready")
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
