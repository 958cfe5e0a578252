package admission

import "runtime"

// AwaitWaiting returns when n tickets wait for a slot.
func (g *Gate) AwaitWaiting(n int) {
	for {
		g.mutex.Lock()
		waiting := len(g.waiting)
		g.mutex.Unlock()
		if waiting == n {
			return
		}
		runtime.Gosched()
	}
}
