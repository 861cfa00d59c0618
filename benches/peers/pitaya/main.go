// Command peer runs pitaya as a benchmark peer, of the module as published, without compression, which is its best case.
//
//	peer local --tcp A                        one process: the handler runs where clients connect
//	peer gate --tcp A --etcd B --nats C       a gate that forwards
//	peer room --etcd B --nats C               the server behind it that has the handler
//
// The handler is `gate.echo.raw`, behind a gate `room.echo.raw`; it takes and answers bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sirupsen/logrus"
	pitaya "github.com/topfreegames/pitaya/v3/pkg"
	"github.com/topfreegames/pitaya/v3/pkg/acceptor"
	"github.com/topfreegames/pitaya/v3/pkg/component"
	"github.com/topfreegames/pitaya/v3/pkg/config"
	"github.com/topfreegames/pitaya/v3/pkg/logger"
	logging "github.com/topfreegames/pitaya/v3/pkg/logger/logrus"
	"local.test/ready"
)

// waiting is how many forwarded requests may wait in a process: with the usual 75 a thousand clients lose some.
const waiting = 20_000

// Echo answers what it gets.
type Echo struct {
	component.Base
}

// Raw is found by reflection.
func (*Echo) Raw(_ context.Context, body []byte) ([]byte, error) { return body, nil }

func main() {
	kind, args := "", os.Args[1:]
	if len(args) > 0 {
		kind, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("peer", flag.ExitOnError)
	tcp := flags.String("tcp", "", "HOST:PORT for clients")
	etcd := flags.String("etcd", "", "HOST:PORT of etcd")
	nats := flags.String("nats", "", "HOST:PORT of NATS")
	_ = flags.Parse(args)
	mode := pitaya.Cluster
	switch kind {
	case "local":
		mode = pitaya.Standalone
	case "gate", "room":
	default:
		fmt.Fprintf(os.Stderr, "error: %q: want local, gate or room\n", kind)
		os.Exit(1)
	}

	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	logger.SetLogger(logging.NewWithFieldLogger(quiet))

	name := "gate"
	if kind == "room" {
		name = kind
	}
	builder := pitaya.NewDefaultBuilder(kind != "room", name, mode, map[string]string{}, settings(*etcd, *nats))
	if kind != "room" {
		builder.AddAcceptor(acceptor.NewTCPAcceptor(*tcp))
	}
	app := builder.Build()
	if kind != "gate" {
		app.Register(&Echo{}, component.WithName("echo"), component.WithNameFunc(strings.ToLower))
	}
	if kind == "room" {
		go ready.When(app.IsRunning)
	} else {
		go ready.At(*tcp)
	}
	app.Start()
}

func settings(etcd, nats string) config.PitayaConfig {
	all := *config.NewDefaultPitayaConfig()
	all.Handler.Messages.Compression = false
	all.Cluster.SD.Etcd.Endpoints = []string{etcd}
	all.Cluster.RPC.Client.Nats.Connect = "nats://" + nats
	all.Cluster.RPC.Server.Nats.Connect = "nats://" + nats
	all.Cluster.RPC.Server.Nats.Buffer.Messages = waiting
	all.Cluster.RPC.Server.Nats.Buffer.Push = waiting
	return all
}
