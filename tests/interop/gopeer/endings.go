package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

// The scenarios in this file are about how connections, dials and tunnels end.

// drain reads to the end of what the destination sends before it closes.
func drain(o *options) result {
	d, err := newDialer(o, context.Background())
	if err != nil {
		return result{Error: err.Error()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	var r result
	conn, done, err := d.dial(ctx, o.target)
	if err != nil {
		r.failed(err)
		return r
	}
	data, err := o.readFull(conn, 1<<30)
	if err != nil {
		r.Error = err.Error()
	}
	r.Received, r.Bytes = sum(data), len(data)
	r.Done = o.ended(done)
	conn.Close() // nil or "tunnel closed" at random, since the peer closed first
	r.OK = r.Error == "" && r.Done && d.close() == nil
	return r
}

// fail dials and reports how the library classifies the failure.
func fail(o *options) result {
	d, err := newDialer(o, context.Background())
	if err != nil {
		return result{Error: err.Error()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	var r result
	conn, done, err := d.dial(ctx, o.target)
	if err == nil {
		conn.Close()
		return result{Error: "the dial succeeded"}
	}
	r.failed(err)
	r.Done = o.ended(done)
	r.OK = r.Done && d.close() == nil
	return r
}

// cancelDial gives up a dial that is under way.
func cancelDial(o *options) result {
	d, err := newDialer(o, context.Background())
	if err != nil {
		return result{Error: err.Error()}
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(o.after, cancel)
	var r result
	conn, done, err := d.dial(ctx, o.target)
	if err == nil {
		conn.Close()
		return result{Error: "the dial succeeded"}
	}
	r.failed(err)
	r.Done = o.ended(done)
	r.OK = r.Done && d.close() == nil
	return r
}

// cancelOne gives up one dial of a shared tunnel (to target) while another of its connections
// (to Text, read from standard input) is in use before and after.
func cancelOne(o *options) result {
	d, err := newDialer(o, context.Background())
	if err != nil {
		return result{Error: err.Error()}
	}
	var other string
	if _, err := fmt.Scanln(&other); err != nil {
		return result{Error: err.Error()}
	}
	var r result
	steady, _, err := d.dial(context.Background(), other)
	if err != nil {
		r.failed(err)
		return r
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.after)
	defer cancel()
	_, _, err = d.dial(ctx, o.target)
	if err == nil {
		return result{Error: "the dial succeeded"}
	}
	r.failed(err)
	sent, received, err := o.exchange(steady, o.bytes)
	if err != nil {
		r.Text = err.Error()
		return r
	}
	r.Sent, r.Received = sent, received
	if err := closed(steady); err != nil {
		r.CloseError = err.Error()
	}
	r.OK = sent == received && r.CloseError == "" && d.close() == nil
	return r
}

// closeInFlight closes a connection while the destination is sending at full speed.
func closeInFlight(o *options) result {
	d, err := newDialer(o, context.Background())
	if err != nil {
		return result{Error: err.Error()}
	}
	var r result
	conn, done, err := d.dial(context.Background(), o.target)
	if err != nil {
		r.failed(err)
		return r
	}
	data, err := o.readFull(conn, o.bytes)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.Bytes, r.Received = len(data), sum(data)
	// The library drops its tunnel when nobody reads for ten seconds: read on while closing.
	go io.Copy(io.Discard, conn)
	if err := closed(conn); err != nil {
		r.CloseError = err.Error()
	}
	r.Done = o.ended(done)
	if err := d.close(); err != nil {
		r.Error = err.Error()
	}
	r.OK = r.Error == "" && r.CloseError == "" && r.Done
	return r
}

// cutLifetime ends the context that a tunnel lives by in the middle of a transfer.
func cutLifetime(o *options) result {
	lifetime, cut := context.WithCancel(context.Background())
	d, err := newDialer(o, lifetime)
	if err != nil {
		cut()
		return result{Error: err.Error()}
	}
	var r result
	conn, done, err := d.dial(context.Background(), o.target)
	if err != nil {
		cut()
		r.failed(err)
		return r
	}
	time.AfterFunc(o.after, cut)
	data, err := o.readFull(conn, 1<<30)
	if err != nil {
		r.Error = err.Error()
	}
	r.Bytes = len(data)
	r.Done = o.ended(done)
	r.OK = r.Error == "" && r.Done && r.Bytes > 0
	return r
}

// hold opens a connection, proves it with one exchange, says so, and reports how it ends: the
// test ends it from the other side.
func hold(o *options) result {
	d, err := newDialer(o, context.Background())
	if err != nil {
		return result{Error: err.Error()}
	}
	var r result
	ctx, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	emit(result{Event: "dialing"})
	conn, done, err := d.dial(ctx, o.target)
	if err != nil {
		r.failed(err)
		r.Done = o.ended(done)
		return r
	}
	hello := []byte("hold the line\n")
	if _, err := conn.Write(hello); err != nil {
		r.Error = err.Error()
		return r
	}
	back, err := o.readFull(conn, len(hello))
	if err != nil || !bytes.Equal(back, hello) {
		r.Error = fmt.Sprintf("%q, %v", back, err)
		return r
	}
	emit(result{Event: "held"})
	rest, err := o.readFull(conn, 1<<30)
	if err != nil {
		r.Error = err.Error()
	}
	r.Bytes = len(rest)
	r.Done = o.ended(done)
	r.OK = r.Error == "" && r.Done
	return r
}
