// One process, one channel: `node dist/worker.js`. Settings come from the environment.

import { NativeConnection, Worker } from '@temporalio/worker';
import { activities } from './activities.js';
import { Handovers } from './handovers.js';
import { Room } from './room.js';

function setting(name: string, otherwise?: string): string {
  const value = process.env[name] || otherwise;
  if (value === undefined) {
    console.error(`${name} is not set; see README.md`);
    process.exit(1);
  }
  return value;
}

const handovers = new Handovers(setting('TUTTI_GATEWAY_URL'), setting('TUTTI_CHANNEL_TOKEN'));
const room = new Room(setting('ROOM_HOMESERVER'), setting('ROOM_TOKEN'), setting('ROOM_ID'));
const taskQueue = setting('ROOM_TASK_QUEUE', 'channel-account-room');

const connection = await NativeConnection.connect({ address: setting('TEMPORAL_ADDRESS', 'localhost:7233') });
try {
  const worker = await Worker.create({
    connection,
    namespace: setting('TEMPORAL_NAMESPACE', 'default'),
    taskQueue,
    activities: activities(handovers, room),
    shutdownGraceTime: '20s',
  });
  console.log(JSON.stringify({ ready: taskQueue }));
  await worker.run(); // until SIGTERM or SIGINT
} finally {
  await connection.close();
}
