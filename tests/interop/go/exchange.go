package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand"
	"time"

	"github.com/dobyte/due/v2/packet"
)

const (
	// One heartbeat goes out before this many data frames each.
	heartbeatEvery = 8
	// A plain heartbeat: size and header; the server's clock may follow in eight bytes.
	plainHeartbeat = 5
	timedHeartbeat = plainHeartbeat + 8
	// How far the server's clock may be from ours; both run on one machine, so this only catches a wrong unit.
	clockSlack = 10 * time.Minute
)

// exchange sends the frames of plan, heartbeats between them, and compares every answer. Answers come in the order of
// the requests; heartbeats may come anywhere between them.
func exchange(s settings, codec packet.Packer, routes []int32, l link) (int, error) {
	plan := newPlan(s, routes)
	slots := make(chan struct{}, s.window)
	failed := make(chan error, 1)
	done := make(chan struct{})
	defer close(done)
	go func() {
		if err := send(plan, codec, l, slots, done); err != nil {
			failed <- err
			l.close()
		}
	}()
	count, err := receive(s, plan, codec, l, slots)
	if err != nil {
		return 0, errors.Join(err, pending(failed))
	}
	return count, nil
}

func pending(failed chan error) error {
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func send(plan []*packet.Message, codec packet.Packer, l link, slots, done chan struct{}) error {
	for i, message := range plan {
		if i%heartbeatEvery == 0 {
			beat, err := codec.PackHeartbeat()
			if err != nil {
				return fmt.Errorf("pack heartbeat: %w", err)
			}
			if err = l.write(beat); err != nil {
				return fmt.Errorf("write heartbeat: %w", err)
			}
		}
		select {
		case slots <- struct{}{}:
		case <-done:
			return nil
		}
		frame, err := codec.PackMessage(message)
		if err != nil {
			return fmt.Errorf("pack frame %d: %w", i, err)
		}
		if err = l.write(frame); err != nil {
			return fmt.Errorf("write frame %d: %w", i, err)
		}
	}
	return nil
}

func receive(s settings, plan []*packet.Message, codec packet.Packer, l link, slots chan struct{}) (int, error) {
	beats := (len(plan) + heartbeatEvery - 1) / heartbeatEvery
	got, gotBeats := 0, 0
	for got < len(plan) || gotBeats < beats {
		frame, err := l.read()
		if err != nil {
			return 0, fmt.Errorf("read after %d of %d frames, %d of %d heartbeats: %w", got, len(plan), gotBeats, beats, err)
		}
		isBeat, err := codec.CheckHeartbeat(frame)
		switch {
		case err != nil:
			return 0, fmt.Errorf("frame % x: %w", head(frame), err)
		case isBeat && gotBeats == beats:
			return 0, errors.New("one heartbeat more than was asked for")
		case isBeat:
			gotBeats++
			if err := checkBeat(s, frame); err != nil {
				return 0, err
			}
		case got == len(plan):
			return 0, errors.New("one frame more than was asked for")
		default:
			if err := checkFrame(codec, plan[got], frame); err != nil {
				return 0, fmt.Errorf("answer %d: %w", got, err)
			}
			got++
			<-slots
		}
	}
	return got, nil
}

func checkFrame(codec packet.Packer, want *packet.Message, frame []byte) error {
	have, err := codec.UnpackMessage(frame)
	if err != nil {
		return fmt.Errorf("unpack % x: %w", head(frame), err)
	}
	if have.Route != want.Route || have.Seq != want.Seq {
		return fmt.Errorf("route %d seq %d, want route %d seq %d", have.Route, have.Seq, want.Route, want.Seq)
	}
	if !bytes.Equal(have.Buffer, want.Buffer) {
		return fmt.Errorf("a body of %d bytes % x.., want %d bytes % x..",
			len(have.Buffer), head(have.Buffer), len(want.Buffer), head(want.Buffer))
	}
	return nil
}

// checkBeat looks at a heartbeat of the server: bare, or with its clock in nanoseconds.
func checkBeat(s settings, frame []byte) error {
	if s.heartbeatTime == "off" {
		if len(frame) != plainHeartbeat {
			return fmt.Errorf("a heartbeat of %d bytes, want %d", len(frame), plainHeartbeat)
		}
		return nil
	}
	if len(frame) != timedHeartbeat {
		return fmt.Errorf("a heartbeat of %d bytes, want %d", len(frame), timedHeartbeat)
	}
	var order binary.ByteOrder = binary.BigEndian
	if s.order == "little" {
		order = binary.LittleEndian
	}
	clock := time.Unix(0, int64(order.Uint64(frame[plainHeartbeat:])))
	if off := time.Since(clock).Abs(); off > clockSlack {
		return fmt.Errorf("the heartbeat says %v, which is %v off", clock, off)
	}
	return nil
}

// newPlan makes the frames: the ends of every range first, then random ones.
func newPlan(s settings, routes []int32) []*packet.Message {
	random := rand.New(rand.NewSource(s.seed))
	lowest, highest := seqRange(s.seqBytes)
	seqs := []int32{0, lowest, highest, max(lowest, -1)}
	sizes := []int{0, s.maxBody, 1, s.maxBody / 2}
	plan := make([]*packet.Message, s.frames)
	for i := range plan {
		seq := int32(int64(lowest) + random.Int63n(int64(highest)-int64(lowest)+1))
		size := random.Intn(s.maxBody + 1)
		if i < len(seqs) {
			seq, size = seqs[i], sizes[i]
		}
		body := make([]byte, size)
		random.Read(body)
		plan[i] = &packet.Message{Route: routes[i%len(routes)], Seq: seq, Buffer: body}
	}
	return plan
}

// seqRange is what fits a signed field of this width; without the field every number reads as 0.
func seqRange(width int) (lowest, highest int32) {
	if width == 0 {
		return 0, 0
	}
	bits := 8*width - 1
	return int32(-1 << bits), int32(int64(1)<<bits - 1)
}

func head(frame []byte) []byte { return frame[:min(len(frame), 16)] }
